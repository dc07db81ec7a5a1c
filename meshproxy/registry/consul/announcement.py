"""What a service's registration says of the mesh, so that peers need no word about it. Pure."""

from __future__ import annotations

import msgspec

from meshproxy.base.addresses import SocketAddress
from meshproxy.registry.consul.workloads import MESH_PORT, META_PREFIX, PREFIX, SERVICE_ACCOUNT
from meshproxy.resources.proxy import ProxySpec
from meshproxy.resources.registration import Registration


def announced(registration: Registration, proxy: ProxySpec, account: str) -> Registration:
    """`registration` with the mesh port and the service account, where its port is one of `spec.inbound.services`.

    Without an `account`, which is not known yet, it is in the mesh nevertheless: peers wait rather than speak in clear.
    What is written in its meta or tags stays as it is.
    """
    inbound = proxy.inbound
    if inbound is None or proxy.identity is None:
        return registration
    if registration.port not in {each.port for each in inbound.services}:
        return registration
    said = {MESH_PORT: str(SocketAddress.parse(inbound.address).port)}
    if account:
        said[SERVICE_ACCOUNT] = account
    tagged = {tag.partition("=")[0] for tag in registration.tags}
    meta = {META_PREFIX + name: value for name, value in said.items() if PREFIX + name not in tagged}
    return msgspec.structs.replace(registration, meta=meta | registration.meta)
