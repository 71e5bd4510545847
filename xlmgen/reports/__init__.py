"""Reports: pages and figures of evaluated runs."""
