"""A proxy to look at: every answer of `ProxyView`, without a proxy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from meshproxy.admin.view import ConfigStatus, RegistrationStatus, SourceState, WorkerStatus
from meshproxy.base.addresses import SocketAddress
from meshproxy.base.errors import Finding, Severity
from meshproxy.base.events import Event, EventType
from meshproxy.health.states import UNCHECKED, Ejections, EndpointHealth, HealthStatus
from meshproxy.identity.expiry import CertificateState
from meshproxy.identity.status import CertificateStatus, IdentityStatus
from meshproxy.snapshot.authorization import AttachedPolicy, Authorization, Intention, Permission
from meshproxy.snapshot.messages import CallerStats, RequestCounts
from meshproxy.snapshot.model import (
    Assignment,
    Cluster,
    Endpoint,
    Listener,
    ListenerRole,
    Protocol,
    ServicePortView,
    ServiceView,
    Snapshot,
    Transport,
    WorkloadView,
)
from meshproxy.snapshot.routes import (
    Backend,
    Filters,
    HeaderMutation,
    RetryPolicy,
    RouteMatch,
    RouteTable,
    Rule,
    VirtualHost,
)
from meshproxy.telemetry.access_log import AccessLogStatus
from meshproxy.telemetry.caller_totals import CallerKey
from meshproxy.telemetry.dns import DNSExplanation, DNSReport
from meshproxy.telemetry.events import RecordedEvent
from meshproxy.telemetry.export import SignalStatus
from meshproxy.telemetry.handshake_totals import HandshakeKey
from meshproxy.telemetry.latency import BOUNDS
from meshproxy.telemetry.recent_requests import RecentRequest, RecentRequests
from meshproxy.telemetry.request_totals import DecisionKey, EndpointRequests, FlagKey, RuleKey
from meshproxy.telemetry.totals import EndpointTotals, ListenerTotals

CLUSTER = "default/backend:http"
CLUSTER_AUTHORIZATION = f"Service/{CLUSTER}"
ONE, TWO = SocketAddress("127.0.1.1", 8080), SocketAddress("127.0.1.2", 8080)
GATEWAY = "0.0.0.0:8000"


def make_route_tables() -> tuple[RouteTable, ...]:
    """A Service's port with one route of two rules, and a Gateway with a route for a hostname."""
    mesh = (
        Rule(
            name="default/shop/cart",
            route="HTTPRoute/default/shop",
            matches=(RouteMatch(path="/cart"),),
            filters=Filters(request_headers=HeaderMutation(set=(("x-shop", "north"),))),
            backends=(
                Backend(cluster=CLUSTER, weight=3, label="backend:80"),
                Backend(weight=1, label="gone:80", problem="there is no Service gone"),
            ),
            request_timeout=10.0,
            retry=RetryPolicy(attempts=2),
        ),
        Rule(
            name="default/shop/1",
            route="HTTPRoute/default/shop",
            backends=(Backend(cluster=CLUSTER, label="backend:80"),),
        ),
    )
    edge = Rule(
        name="team/edge-route/0",
        route="HTTPRoute/team/edge-route",
        hostnames=("shop.example.com",),
        backends=(Backend(cluster=CLUSTER, label="default/backend:80"),),
    )
    return (
        RouteTable(name=GATEWAY, virtual_hosts=(VirtualHost(name="team/edge/web", rules=(edge,)),)),
        RouteTable(name=CLUSTER, virtual_hosts=(VirtualHost(name=CLUSTER, rules=mesh),)),
    )


def make_intentions() -> tuple[Intention, ...]:
    """One that allows, one that depends on the request, and a refusal of everybody else."""
    permissions = (Permission(path="/a"), Permission(path="/b"))
    return (
        Intention(destination="web", source="default/cart", policy="Intention/cart => web", allow=True),
        Intention(destination="web", source="default/shop", policy="Intention/shop => web", permissions=permissions),
        Intention(destination="web", source="*", policy="no intention for web"),
        Intention(destination="web", source="", policy="no intention for web"),
    )


def make_snapshot() -> Snapshot:
    return Snapshot(
        version="abc123",
        listeners=(
            Listener(
                name="l",
                address=SocketAddress("127.96.0.10", 80),
                transport=Transport.TCP,
                cluster=CLUSTER,
                routes=CLUSTER,
                protocol=Protocol.HTTP,
                service="default/backend",
                port_name="http",
            ),
            Listener(
                name="g",
                address=SocketAddress("0.0.0.0", 8000),
                transport=Transport.TCP,
                routes=GATEWAY,
                protocol=Protocol.HTTP,
                service="Gateway/team/edge",
                port_name="web",
                role=ListenerRole.GATEWAY,
            ),
        ),
        route_tables=make_route_tables(),
        authorizations=(
            Authorization(
                name=CLUSTER_AUTHORIZATION,
                policies=(
                    AttachedPolicy(policy="AuthorizationPolicy/no-cart", action="Deny", rules=1),
                    AttachedPolicy(policy="AuthorizationPolicy/trial", action="Audit", rules=3),
                ),
                intentions=make_intentions(),
            ),
            Authorization(
                name="Gateway/team/edge:web",
                policies=(AttachedPolicy(policy="AuthorizationPolicy/team/edge", action="Allow", rules=0),),
            ),
        ),
        clusters=(Cluster(name=CLUSTER, service="default/backend", port_name="http"),),
        assignments=(
            Assignment(
                cluster=CLUSTER,
                endpoints=(Endpoint(address=ONE, name="backend-1", zone="a"), Endpoint(address=TWO, name="backend-2")),
            ),
        ),
        services=(
            ServiceView(
                namespace="default",
                name="backend",
                type="ClusterIP",
                cluster_ips=("127.96.0.10",),
                ports=(
                    ServicePortView(name="http", port=80, transport=Transport.TCP, cluster=CLUSTER, target_port="http"),
                ),
                selector={"app": "backend"},
                not_ready=(Endpoint(address=SocketAddress("127.0.1.3", 8080), name="backend-3"),),
            ),
            ServiceView(namespace="team", name="other", type="ExternalName", external_name="example.com"),
        ),
        workloads=(WorkloadView(namespace="default", name="backend-1", addresses=("127.0.1.1",), source="files"),),
    )


def make_identity_status(problem: str = "") -> IdentityStatus:
    """From a file, with an hour to go."""
    own = CertificateStatus(
        kind="Identity",
        name="spiffe://mesh.local/ns/default/sa/web",
        names=("spiffe://mesh.local/ns/default/sa/web",),
        issuer="CN=mesh CA",
        serial="1f",
        not_before=0.0,
        not_after=7200.0,
        expires_in=3600.0,
        state=CertificateState.VALID,
    )
    return IdentityStatus(source="files", problem=problem, changes=1, failures=int(bool(problem)), certificates=(own,))


def make_counts(ok: int = 0, failed: int = 0, missing: int = 0, retries: int = 0) -> RequestCounts:
    """Requests that were answered with 200, 500 and 404; each took 4 ms."""
    total = ok + failed + missing
    latencies = (0, 0, 0, total, *([0] * (len(BOUNDS) - 3)))
    return RequestCounts((0, 0, ok, 0, missing, failed), latencies, 0.004 * total, retries)


class FakeView:
    """Implements `admin.view.ProxyView` with values that a test may change."""

    def __init__(self) -> None:
        self.reason = ""
        self.rejection = ""
        self.problems: dict[str, str] = {}
        self.drained = 0
        self.dns_report: DNSReport | None = None
        self.identity_status: IdentityStatus | None = None
        self.tls_complaints: tuple[str, ...] = ()
        self.listed: tuple[CertificateStatus, ...] = ()
        self.log = AccessLogStatus()
        self.recent = RecentRequests()
        self.requests = {
            RuleKey(CLUSTER, "default/shop/cart", "backend:80"): make_counts(ok=150, failed=2, retries=7),
            RuleKey(CLUSTER, "default/shop/cart", "gone:80"): make_counts(failed=48),
            RuleKey(CLUSTER, "", ""): make_counts(missing=5),
        }

    def snapshot(self) -> Snapshot:
        return make_snapshot()

    def health(self, cluster: str, endpoint_id: str) -> EndpointHealth:
        if endpoint_id == str(TWO):
            return EndpointHealth(status=HealthStatus.UNHEALTHY, reason="connect refused", since=40.0)
        return UNCHECKED

    def now(self) -> float:
        return 100.0

    def uptime(self) -> float:
        return 3700.0

    def endpoint_totals(self) -> Mapping[tuple[str, str], EndpointTotals]:
        return {
            (CLUSTER, str(ONE)): EndpointTotals(active=1, connections=30),
            (CLUSTER, str(TWO)): EndpointTotals(0, 10),
        }

    def handshakes(self) -> Mapping[HandshakeKey, int]:
        return {
            HandshakeKey("downstream", "g", "full"): 5,
            HandshakeKey("downstream", "g", "resumed"): 4,
            HandshakeKey("downstream", "g", "unknown_ca"): 1,
            HandshakeKey("downstream", "default/web:80@127.0.0.1:80/TCP", "expired"): 2,
            HandshakeKey("upstream", CLUSTER, "full"): 3,
            HandshakeKey("upstream", CLUSTER, "wrong_identity"): 1,
        }

    def listener_totals(self) -> Mapping[str, ListenerTotals]:
        return {"l": ListenerTotals(active=1, accepted=40)}

    def rule_requests(self) -> Mapping[RuleKey, RequestCounts]:
        return self.requests

    def endpoint_requests(self) -> Mapping[tuple[str, str], EndpointRequests]:
        return {(CLUSTER, str(ONE)): EndpointRequests(idle=4, requests=make_counts(ok=30, failed=10))}

    def response_flags(self) -> Mapping[FlagKey, int]:
        return {("l", "UF"): 3}

    def callers(self) -> Mapping[CallerKey, CallerStats]:
        key = CallerKey("spiffe://mesh.local/ns/shop/sa/web", "default/backend", CLUSTER)
        return {key: CallerStats(*key, active=2, connections=3)}

    def decisions(self) -> Mapping[DecisionKey, int]:
        return {
            DecisionKey(CLUSTER_AUTHORIZATION, "AuthorizationPolicy/no-cart", "denied"): 4,
            DecisionKey(CLUSTER_AUTHORIZATION, "AuthorizationPolicy/trial", "audited"): 2,
            DecisionKey(CLUSTER_AUTHORIZATION, "no policy", "denied"): 1,
            DecisionKey(CLUSTER_AUTHORIZATION, "no intention for web", "denied"): 6,
        }

    def ejections(self) -> Mapping[tuple[str, str], Ejections]:
        return {(CLUSTER, str(TWO)): Ejections(2, is_ejected=False)}

    def access_log(self) -> AccessLogStatus:
        return self.log

    def exports(self) -> tuple[SignalStatus, ...]:
        return (SignalStatus(signal="traces", endpoint="http://c:4318", sent=7, dropped=0, waiting=1, problem=""),)

    def listener_problems(self) -> Mapping[str, str]:
        return self.problems

    def workers(self) -> tuple[WorkerStatus, ...]:
        return (WorkerStatus(id=0, pid=42, state="ready", restarts=0, uptime=5.0, version="abc123"),)

    def sources(self) -> tuple[SourceState, ...]:
        return (SourceState(name="files", resources=4, age=7.0, problem=""),)

    def dns(self) -> DNSReport | None:
        return self.dns_report

    def explain_name(self, name: str, kind: str) -> DNSExplanation:
        return DNSExplanation(name=name, type=kind, reason="Service default/backend: its virtual IP")

    def certificates(self) -> tuple[CertificateStatus, ...]:
        own = self.identity_status.certificates if self.identity_status is not None else ()
        return (*own, *self.listed)

    def tls_problems(self) -> tuple[str, ...]:
        return self.tls_complaints

    def identity(self) -> IdentityStatus | None:
        return self.identity_status

    def registrations(self) -> tuple[RegistrationStatus, ...]:
        return (
            RegistrationStatus(
                name="web", id="web-here-80", address="http://127.0.0.1:8500", registered=True, health="", problem=""
            ),
        )

    def config(self) -> ConfigStatus:
        return ConfigStatus(
            version="abc123",
            last_good="abc123",
            age=7.0,
            rejections=int(bool(self.rejection)),
            rejection=self.rejection,
            rejection_age=1.0 if self.rejection else None,
        )

    def diagnostics(self) -> tuple[Finding, ...]:
        return (Finding(severity=Severity.WARNING, file="m.yaml", line=3, resource="Service/x", message="odd"),)

    def events(self, subject: str | None = None) -> tuple[RecordedEvent, ...]:
        event = Event(type=EventType.WARNING, reason="EndpointUnhealthy", subject="Service/backend", message="gone")
        recorded = RecordedEvent(event=event, count=2, first=1.0, last=2.0)
        return (recorded,) if subject in (None, "Service/backend") else ()

    def recent_requests(self, after: int = 0) -> tuple[RecentRequest, ...]:
        return self.recent.after(after)

    def not_ready_reason(self) -> str:
        return self.reason

    def metrics(self, *, open_metrics: bool) -> Iterator[bytes]:
        yield b"meshproxy_up 1\n"
        yield b"# EOF\n" if open_metrics else b"meshproxy_down 0\n"

    def drain(self) -> None:
        self.drained += 1
