"""Runs side by side: the page of a comparison, and studies on equal terms."""
