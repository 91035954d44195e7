# The controller: deploy, reconcile, scale_out, scale_in, pause, rollback, remove, status and doctor. autoscale_consul_token.

# Releases, scales, histories and locks. Whoever may write here can start commands on hosts: keep this token in a vault,
# and sign what is written (autoscale_signing_key).
key_prefix "autoscale/" {
  policy = "write"
}

# Locks are held by sessions on the node whose agent the controller asks (autoscale_consul_url): its name is enough, as
# `session "NODE"`.
session_prefix "" {
  policy = "write"
}

# Where instances are, and how they are. What cannot be seen is not counted: see every node and every service.
node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}
