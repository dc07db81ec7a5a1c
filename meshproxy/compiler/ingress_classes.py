"""Whose an Ingress is (Kubernetes `IngressSpec.ingressClassName`)."""

from __future__ import annotations

from collections.abc import Mapping

from meshproxy.compiler.diagnostics import Diagnostics
from meshproxy.resources import Ingress, IngressClass

CLASS = "meshproxy"
CONTROLLER = "meshproxy.dev/ingress-controller"
_ANNOTATION = "kubernetes.io/ingress.class"
"""Deprecated since Kubernetes 1.18, and still written."""


def ours(ingress: Ingress, classes: Mapping[str, IngressClass], diagnostics: Diagnostics) -> bool:
    """Whether meshproxy serves `ingress`: one without a class, of the class `CLASS`, or of a class by `CONTROLLER`.

    Another controller's is passed over with a warning. The annotation counts where the field is missing.
    """
    annotated = ingress.metadata.annotations.get(_ANNOTATION)
    name = ingress.spec.ingress_class_name or annotated
    known = classes.get(name or "")
    controller = known.spec.controller if known is not None else None
    if not name or controller == CONTROLLER or (known is None and name == CLASS):
        return True
    field = "spec.ingressClassName" if ingress.spec.ingress_class_name else f"metadata.annotations.{_ANNOTATION}"
    whose = f"its controller is {controller}" if known is not None else "there is no IngressClass of that name"
    message = f"is passed over: {name} is not meshproxy's ({whose}); write {CLASS}, or an IngressClass by {CONTROLLER}"
    diagnostics.warning(ingress, field, message)
    return False
