# Beside any of the others, for doctor: it asks agents for their version and their node's name.
agent_prefix "" {
  policy = "read"
}
