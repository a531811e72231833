"""The tabs of the page, one a module, and their shared components."""
