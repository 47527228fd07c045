"""The claims by topic; `unyoke.study.claims.catalogue` lists them all."""
