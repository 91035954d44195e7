# A host that runs instances: the modules instance, consul_service and doctor_info on it. autoscale_agent_token.

# Registers its instances and takes them out. To keep a host to some services, name them: `service "shop"`.
service_prefix "" {
  policy = "write"
}

# Their checks, and the node's, while it waits for health.
node_prefix "" {
  policy = "read"
}

# Whether the lock that covers a change is still this run's. Read only: a host cannot alter a release.
key_prefix "autoscale/" {
  policy = "read"
}

# Renews the lock's session before each change. It is on the node that the controller asks: its name is enough, as
# `session "NODE"`.
session_prefix "" {
  policy = "write"
}
