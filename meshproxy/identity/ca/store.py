"""The CA's directory: keys and certificates in PEM, for this user only, and `ca.json`, which says which ones count.

Files are made under new names and never changed; `ca.json` is replaced when all are there. So a reader finds the old
state or the new one, and a rotation that breaks off changes nothing.

While a new root is introduced both are trusted. The new one is also signed by the old one, and that
certificate goes with every chain: peers that know only the old root trust what is under the new one, and the other
way round new peers trust what is still under the old.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from meshproxy.base.errors import MeshproxyError
from meshproxy.base.names import NamespacedName
from meshproxy.identity.ca.certificates import (
    KeyPair,
    cross_sign,
    key_pem,
    make_intermediate,
    make_root,
)
from meshproxy.identity.svid import pem_of

STATE = "ca.json"
BUNDLE = "roots.pem"


class CAError(MeshproxyError):
    """The CA's directory cannot be used as asked; the message says why, and what would help."""


class CAState(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """`roots` are the names of those to trust, the active one last; `cross` is the active one as its
    predecessor signed it. `old_leaves_until` is when the last leaf under the predecessor has expired, in seconds since
    1970; `leaves_until` the same of the active root's. `revoked` says of service accounts since when what they had been
    given before gets them no further certificate.
    """

    trust_domain: str
    roots: tuple[str, ...]
    intermediate: str
    cross: str = ""
    number: int = 1
    leaves_until: float = 0.0
    old_leaves_until: float = 0.0
    revoked: dict[str, float] = {}


class SigningCA(msgspec.Struct, frozen=True, kw_only=True):
    """What signs: `chain` follows a leaf, the intermediate first; `bundle` is every root to trust. PEM texts."""

    trust_domain: str
    issuer: KeyPair
    chain: str
    bundle: str
    revoked: dict[str, float]


class CAStore:
    """A directory with a CA. `now` is in seconds since 1970 throughout."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    # -- making it -----------------------------------------------------------------------

    def init(self, trust_domain: str, now: float) -> None:
        """A root and an intermediate. Raises `CAError` where there is a CA already, or anything of that name."""
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CAError(f"{self.directory} cannot be made: {error.strerror}") from None
        root = make_root(trust_domain, "meshproxy root 1", now)
        intermediate = make_intermediate(root, trust_domain, "meshproxy intermediate 1", now)
        with self._locked():
            files = (STATE, BUNDLE, *_files("root-1"), *_files("intermediate-1"))
            taken = [name for name in files if (self.directory / name).exists()]
            if taken:
                raise CAError(f"{self.directory} holds {', '.join(taken)} already; nothing was overwritten")
            self._write_pair("root-1", root)
            self._write_pair("intermediate-1", intermediate)
            self._commit(CAState(trust_domain=trust_domain, roots=("root-1",), intermediate="intermediate-1"))

    # -- reading it ----------------------------------------------------------------------

    def state(self) -> CAState:
        path = self.directory / STATE
        try:
            return msgspec.json.decode(path.read_bytes(), type=CAState)
        except FileNotFoundError:
            raise CAError(f"there is no CA in {self.directory}; make one: meshproxy ca init") from None
        except OSError as error:
            raise CAError(f"{path} cannot be read: {error.strerror}") from None
        except msgspec.DecodeError as error:
            raise CAError(f"{path} is damaged: {error}") from None

    def signing(self) -> SigningCA:
        """What is needed to sign."""
        state = self.state()
        issuer = self._pair(state.intermediate)
        chain = [issuer.certificate] + ([self.certificate(state.cross)] if state.cross else [])
        bundle = pem_of(*(self.certificate(name) for name in state.roots))
        return SigningCA(
            trust_domain=state.trust_domain, issuer=issuer, chain=pem_of(*chain), bundle=bundle, revoked=state.revoked
        )

    def certificate(self, name: str) -> x509.Certificate:
        path = self.directory / f"{name}.pem"
        try:
            return x509.load_pem_x509_certificate(path.read_bytes())
        except OSError as error:
            raise CAError(f"{path} cannot be read: {error.strerror}") from None
        except ValueError as error:
            raise CAError(f"{path} is damaged: {error}") from None

    # -- changing it ---------------------------------------------------------------------

    def leaf_issued(self, not_after: float) -> None:
        """Remember how long leaves go on: a root is trusted until the last of its leaves has expired."""
        with self._locked():
            state = self.state()
            if not_after > state.leaves_until:
                self._commit(msgspec.structs.replace(state, leaves_until=not_after))

    def revoke(self, account: NamespacedName, now: float) -> None:
        """Give nothing more to whoever shows a certificate or a token of `account` that was made until now."""
        with self._locked():
            state = self.state()
            self._commit(msgspec.structs.replace(state, revoked={**state.revoked, str(account): now}))

    def rotate_root(self, now: float) -> None:
        """Introduce a new root, with an intermediate that signs from now on. Needs the key of the active root."""
        with self._locked():
            state = self.state()
            if len(state.roots) > 1:
                raise CAError("a rotation is going on: finish it first, with --finish")
            old = self._pair(state.roots[-1])
            number = state.number + 1
            root_name, intermediate_name, cross_name = f"root-{number}", f"intermediate-{number}", f"cross-{number}"
            root = make_root(state.trust_domain, f"meshproxy root {number}", now)
            self._write_pair(root_name, root)
            intermediate = make_intermediate(root, state.trust_domain, f"meshproxy intermediate {number}", now)
            self._write_pair(intermediate_name, intermediate)
            cross = cross_sign(root.certificate, old, state.trust_domain, now)
            self._write(f"{cross_name}.pem", pem_of(cross).encode(), 0o644)
            self._commit(
                msgspec.structs.replace(
                    state,
                    roots=(*state.roots, root_name),
                    intermediate=intermediate_name,
                    cross=cross_name,
                    number=number,
                    leaves_until=0.0,
                    old_leaves_until=max(state.leaves_until, now),
                )
            )

    def rotate_intermediate(self, now: float) -> None:
        """A new intermediate under the same root, whose key it needs."""
        with self._locked():
            state = self.state()
            number = state.number + 1
            name = f"intermediate-{number}"
            root = self._pair(state.roots[-1])
            self._write_pair(name, make_intermediate(root, state.trust_domain, f"meshproxy intermediate {number}", now))
            self._commit(msgspec.structs.replace(state, intermediate=name, number=number))

    def finish_rotation(self, now: float, *, force: bool = False) -> str:
        """Trust the new root only, from the next renewal of everyone; returns the name of the old one.

        Raises `CAError` while leaves of the old root are valid, unless `force`.
        """
        with self._locked():
            state = self.state()
            if len(state.roots) < 2:
                raise CAError("no rotation is going on; begin one: meshproxy ca rotate")
            left = state.old_leaves_until - now
            if left > 0 and not force:
                raise CAError(
                    f"certificates under {state.roots[0]} are valid for up to {left / 3600:.1f} more hours, "
                    "and would be refused; wait for so long, or use --force if that root's key was stolen"
                )
            self._commit(msgspec.structs.replace(state, roots=state.roots[-1:], cross="", old_leaves_until=0.0))
            return state.roots[0]

    # -- files ---------------------------------------------------------------------------

    def _pair(self, name: str) -> KeyPair:
        path = self.directory / f"{name}.key"
        try:
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise CAError(f"{path} cannot be read: {error.strerror}; is it kept elsewhere? Bring it back") from None
        except (ValueError, TypeError) as error:
            raise CAError(f"{path} is damaged: {error}") from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise CAError(f"{path} is not a key that this CA has made")
        return KeyPair(self.certificate(name), key)

    def _write_pair(self, name: str, pair: KeyPair) -> None:
        self._write(f"{name}.key", key_pem(pair.key), 0o600)
        self._write(f"{name}.pem", pem_of(pair.certificate).encode(), 0o644)

    def _commit(self, state: CAState) -> None:
        bundle = pem_of(*(self.certificate(name) for name in state.roots))
        self._write(BUNDLE, bundle.encode(), 0o644)
        self._write(STATE, msgspec.json.format(msgspec.json.encode(state)) + b"\n", 0o600)

    def _write(self, name: str, content: bytes, mode: int) -> None:
        try:
            write_private(self.directory / name, content, mode)
        except OSError as error:
            raise CAError(f"{self.directory / name} cannot be written: {error.strerror}") from None

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One writer at a time, whatever its process."""
        try:
            descriptor = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise CAError(f"{self.directory} cannot be opened: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def write_private(path: Path, content: bytes, mode: int = 0o600) -> None:
    """Replace a file in one step, readable as `mode` says from the first moment. Raises `OSError`."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)
    temporary.replace(path)


def _files(name: str) -> tuple[str, str]:
    return f"{name}.key", f"{name}.pem"
