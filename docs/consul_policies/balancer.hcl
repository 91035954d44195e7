# A host that balances: the modules haproxy_config, haproxy_server, nginx_config, nginx_server and doctor_info on it.
# autoscale_agent_token. What goes into a pool comes from the controller, so that it needs to see no service.

# Whether the lock that covers a change is still this run's.
key_prefix "autoscale/" {
  policy = "read"
}

# Renews the lock's session before each change; see host.hcl.
session_prefix "" {
  policy = "write"
}
