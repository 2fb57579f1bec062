"""The composition root: the only place that knows both settings and adapters."""
