"""What a framework needs that its own interface cannot say; each module loads its framework late.

Most frameworks need nothing: they take an optimizer of torch's kind. See docs/frameworks.md.
"""
