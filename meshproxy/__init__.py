"""meshproxy: a Kubernetes Service and a service mesh for programs outside Kubernetes.

How data flows, and where each step lives::

    registry sources ──resources──▶ controlplane.store ─▶ compiler.compile ─▶ Snapshot vN
    (files, …)                        latest per source      pure function        │ publish
                                                                                  ▼
      admin / CLI ◀──── ACK(vN) or NACK(vN, why); last good stays ◀──── workers · health

* ``resources`` is what people write, spelled as Kubernetes spells it.
* ``snapshot`` is what a data plane executes, spelled as xDS spells it.
* ``runtime`` is the only place that wires the rest together: a supervisor process, which
  decides, and worker processes, which move bytes.
"""

__version__ = "0.1.0"
