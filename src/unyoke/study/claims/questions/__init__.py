"""The questions by what they are about; `unyoke.study.claims.catalogue` lists them all."""
