"""Resources → snapshot. A pure function: no clock, no I/O, and the same bytes from the same resources in any order.

`compile` goes through a Service at a time: its addresses (`virtual_ips`, `node_ports`), its
endpoints (`endpoint_slices`, in the role of Kubernetes' controller of that name, then
`priorities`, in kube-proxy's), its policy (`policies`), and what comes of them (`services`).

Before that `request_routing` has led HTTPRoutes, Gateways and Ingresses to route tables: a route's rules
(`http_routes`, `filters`, `backends`) attach to Services (`mesh_routes`) and to the listeners that `gateways` open
(`gateway_routes`); `ingresses` add theirs at an `edge` of their own.
"""
