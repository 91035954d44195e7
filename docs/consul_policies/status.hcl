# Looking without touching: the playbook status, and the modules fleet_info, scaling_decision and consul_service_info.
key_prefix "autoscale/" {
  policy = "read"
}

node_prefix "" {
  policy = "read"
}

service_prefix "" {
  policy = "read"
}
