# A Consul agent's own token (acl.tokens.agent): it keeps its node in the catalog. One per node, with its name in place of NODE.
node "NODE" {
  policy = "write"
}

# It compares what it has with what the catalog has.
service_prefix "" {
  policy = "read"
}
