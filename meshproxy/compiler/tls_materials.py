"""TLS material by name: what a configuration refers to, whether it may, and where it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from meshproxy.base.names import NamespacedName
from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.compiler.reference_grants import GrantIndex
from meshproxy.resources import ConfigMap, Secret
from meshproxy.resources.gateway_tls import ObjectReference
from meshproxy.resources.http_route import CORE_GROUPS
from meshproxy.resources.meta import Resource
from meshproxy.resources.policy_tls import CertificateSource
from meshproxy.resources.secret import CERTIFICATE, CRL, KEY, ROOTS
from meshproxy.snapshot.tls import TLSFiles, TLSMaterial

Holder = Secret | ConfigMap
REFUSED = "handshakes that need it are refused"


class MaterialIndex:
    """Finds Secrets and ConfigMaps, and collects those that are referred to, and files likewise.

    A name is empty where a reference leads nowhere: what needs it then refuses its handshakes, never does without.
    """

    def __init__(self, holders: Iterable[Holder], grants: GrantIndex, diagnostics: Diagnostics) -> None:
        self._holders = {(each.kind, each.key): each for each in holders}
        self.grants = grants
        self._diagnostics = diagnostics
        self._materials: dict[str, TLSMaterial] = {}
        self._files: dict[str, TLSFiles] = {}

    @property
    def materials(self) -> tuple[TLSMaterial, ...]:
        """What is in the configuration itself."""
        return tuple(self._materials[name] for name in sorted(self._materials))

    @property
    def files(self) -> tuple[TLSFiles, ...]:
        """What is in files."""
        return tuple(self._files[name] for name in sorted(self._files))

    def in_files(self, *, certificate: str = "", key: str = "", roots: str = "", crl: str = "") -> str:
        """The name of what is in files."""
        paths = (certificate, key, roots, f"crl:{crl}" if crl else "")
        name = "files:" + ",".join(path for path in paths if path)
        self._files[name] = TLSFiles(name=name, certificate=certificate, key=key, roots=roots, crl=crl)
        return name

    def certificate(self, referrer: Resource, ref: ObjectReference, field: str) -> str:
        """The name of a certificate and its key, which are in a Secret."""
        if ref.group not in CORE_GROUPS or ref.kind != "Secret":
            self._warn(referrer, f"{field}.kind", f"{ref.kind} holds no certificates; a Secret does", REFUSED)
            return ""
        holder = self._find(referrer, ref, field, REFUSED)
        if holder is None:
            return ""
        return self._take(referrer, holder, (CERTIFICATE, KEY), f"{field}.name", REFUSED)

    def certificate_in(self, referrer: Resource, secret: str, field: str, consequence: str = REFUSED) -> str:
        """The same, of a Secret of the referrer's namespace, whose name is all that `field` has."""
        key = NamespacedName(referrer.metadata.namespace, secret)
        holder = self._held(referrer, "Secret", key, field, consequence)
        return self._take(referrer, holder, (CERTIFICATE, KEY), field, consequence) if holder is not None else ""

    def certificate_of(self, referrer: Resource, source: CertificateSource, field: str) -> str:
        """The same, from wherever `source`, which stands at `field`, says."""
        if source.secret is not None:
            return self.certificate_in(referrer, source.secret, f"{field}.secret")
        return self.in_files(certificate=source.certificate or "", key=source.key or "")

    def roots(self, referrer: Resource, refs: Sequence[ObjectReference], field: str) -> str:
        """The name of all roots that `refs` lead to together, and their CRLs; empty if one leads nowhere."""
        consequence = "whoever must be checked by it is refused"
        names: list[str] = []
        for index, ref in enumerate(refs):
            at = f"{field}[{index}]"
            if ref.group not in CORE_GROUPS or ref.kind not in ("Secret", "ConfigMap"):
                message = f"{ref.kind} holds no CA certificates; a ConfigMap or a Secret does"
                self._warn(referrer, f"{at}.kind", message, consequence)
                return ""
            holder = self._find(referrer, ref, at, consequence)
            if holder is None:
                return ""
            names.append(self._take(referrer, holder, (ROOTS,), f"{at}.name", consequence))
        return self._together(names) if all(names) else ""

    def _together(self, names: Sequence[str]) -> str:
        if len(names) < 2:
            return "".join(names)
        name = "+".join(names)
        parts = [self._materials[each] for each in names]
        bundle = "\n".join(each.trust_bundle for each in parts)
        crl = "\n".join(each.crl for each in parts if each.crl)
        self._materials[name] = TLSMaterial(name, trust_bundle=bundle, crl=crl)
        return name

    def _find(self, referrer: Resource, ref: ObjectReference, field: str, consequence: str) -> Holder | None:
        own = referrer.metadata.namespace
        key = NamespacedName(ref.namespace or own, ref.name)
        if not self.grants.lets(referrer.kind, own, ref.kind, key):
            who = f"{referrer.kind}s of namespace {own}"
            problem = f"no ReferenceGrant in namespace {key.namespace} lets {who} refer to {ref.kind} {key.name}"
            self._warn(referrer, f"{field}.namespace", problem, consequence)
            return None
        return self._held(referrer, ref.kind, key, f"{field}.name", consequence)

    def _held(self, referrer: Resource, kind: str, key: NamespacedName, field: str, consequence: str) -> Holder | None:
        """What is called `key`, as `field` says."""
        found = self._holders.get((kind, key))
        if found is None:
            names = [each.name for it, each in self._holders if it == kind and each.namespace == key.namespace]
            hint = self._diagnostics.hint(key.name, names)
            problem = f"there is no {kind} {key.name} in namespace {key.namespace}{hint}"
            self._warn(referrer, field, problem, consequence)
        return found

    def _take(self, referrer: Resource, holder: Holder, keys: Sequence[str], field: str, consequence: str) -> str:
        """Collect what `holder`, which `field` names, has; an empty name where it lacks one of `keys`."""
        texts = {each: _text(holder, each) for each in (CERTIFICATE, KEY, ROOTS, CRL)}
        for key in keys:
            if not texts[key]:
                self._warn(referrer, field, f"{holder.label} has no usable {key}", consequence)
                return ""
        name = f"{holder.kind}/{holder.key}"
        self._materials[name] = TLSMaterial(name, texts[CERTIFICATE], texts[KEY], texts[ROOTS], crl=texts[CRL])
        return name

    def _warn(self, referrer: Resource, field: str, problem: str, consequence: str) -> None:
        self._diagnostics.warning(referrer, field, f"{problem}; {consequence}")


def _text(holder: Holder, key: str) -> str:
    if isinstance(holder, ConfigMap):
        return holder.data.get(key, "")
    try:
        return holder.text(key)
    except ValueError:  # the loader says so
        return ""
