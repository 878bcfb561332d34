"""Manifests, alert rules and the dashboard, with what generates parts of them."""
