# Prometheus finds the instances in the catalog. In the file that prometheus_consul_token_file names.
node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}

# It asks its agent for the datacenter's name.
agent_prefix "" {
  policy = "read"
}
