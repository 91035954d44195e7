# For the anonymous token, or an agent's default token (acl.tokens.default), where clients find instances by Consul's DNS,
# which carries no token. Whoever reaches the agent can then read the catalog.
node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}
