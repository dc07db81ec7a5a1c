"""Consul's intentions: of each destination the most precise one about the caller decides, and all must allow it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from meshproxy.authorization.caller import Caller
from meshproxy.base.regex import compile_pattern
from meshproxy.routing.api import Request
from meshproxy.routing.conditions import HeaderTest
from meshproxy.routing.paths import decoded_path
from meshproxy.snapshot.authorization import ANY_SERVICE, NO_IDENTITY, Intention, Permission
from meshproxy.snapshot.routes import PathKind

NO_SERVICE = "an identity that is no service's"
"""What refuses callers that no intention can be about, such as Consul's agents themselves."""
STEP = 64
"""Intentions and permissions that are taken in between two steps of filling."""


class IntentionSet:
    """Finds the intentions that are about a caller, in time that does not depend on how many there are."""

    __slots__ = ("_by_destination",)

    def __init__(self) -> None:
        self._by_destination: dict[str, dict[str, _Judge]] = {}

    def fill(self, intentions: Iterable[Intention]) -> Iterator[None]:
        """Take in `intentions`, in steps; run the iterator to its end before the first question."""
        taken = 0
        for each in intentions:
            self._by_destination.setdefault(each.destination, {})[each.source] = _Judge(each)
            taken += 1 + len(each.permissions)
            if taken >= STEP:
                taken = 0
                yield

    def refusal_of_request(self, caller: Caller, request: Request) -> str:
        """The intention that refuses it; empty where all allow it, or there are none."""
        for judge in self._judges(caller):
            if judge is None:
                return NO_SERVICE
            if not judge.allows(request):
                return judge.policy
        return ""

    def refusal_of_connection(self, caller: Caller) -> str:
        """The same for a connection that is no HTTP. One that may do some things only may not do that."""
        for judge in self._judges(caller):
            if judge is None:
                return NO_SERVICE
            if not judge.allows_everything:
                return judge.policy
        return ""

    def _judges(self, caller: Caller) -> Iterator[_Judge | None]:
        """One of each destination; None for a caller that is none of those whom intentions are about."""
        if not self._by_destination:
            return
        names = _names_of(caller)
        for by_source in self._by_destination.values():
            yield next((by_source[name] for name in names if name in by_source), None)


def _names_of(caller: Caller) -> tuple[str, ...]:
    """The sources that `caller` is, the most precise first."""
    if not caller.principal:
        return (NO_IDENTITY,)
    if not caller.service_account:
        return ()
    return caller.service_account, f"{caller.namespace}/*", ANY_SERVICE


class _Judge:
    """One intention."""

    __slots__ = ("_allow", "_permissions", "policy")

    def __init__(self, intention: Intention) -> None:
        self.policy = intention.policy
        self._allow = intention.allow
        self._permissions = tuple(map(_PermissionTest, intention.permissions))

    @property
    def allows_everything(self) -> bool:
        return self._allow and not self._permissions

    def allows(self, request: Request) -> bool:
        """By the first permission that holds. As with policies, what refuses holds for either reading of a path."""
        if not self._permissions:
            return self._allow
        written = (request.path,)
        readings = (request.path, decoded_path(request.path))
        for permission in self._permissions:
            if permission.holds(request, written if permission.allow else readings):
                return permission.allow
        return self._allow


class _PermissionTest:
    """One permission."""

    __slots__ = ("_absent", "_headers", "_kind", "_methods", "_others", "_path", "_pattern", "allow")

    def __init__(self, permission: Permission) -> None:
        self.allow = permission.allow
        self._kind = permission.path_kind
        self._path = permission.path.encode()
        self._pattern = compile_pattern(permission.path) if permission.path_kind is PathKind.REGEX else None
        self._methods = frozenset(each.encode() for each in permission.methods)
        self._headers = tuple(map(HeaderTest, permission.headers))
        self._others = tuple(map(HeaderTest, permission.other_headers))
        self._absent = tuple(each.encode() for each in permission.absent_headers)

    def holds(self, request: Request, paths: Iterable[bytes]) -> bool:
        """Whether it is about `request`, whose path may be read as any of `paths`."""
        if self._methods and request.method not in self._methods:
            return False
        if not any(map(self._is_path, paths)):
            return False
        return (
            all(test.holds(test.value_in(request)) for test in self._headers)
            and all((value := test.value_in(request)) is not None and not test.holds(value) for test in self._others)
            and all(request.header(name) is None for name in self._absent)
        )

    def _is_path(self, path: bytes) -> bool:
        if self._pattern is not None:
            return self._pattern.fullmatch(path) is not None
        return path == self._path if self._kind is PathKind.EXACT else path.startswith(self._path)
