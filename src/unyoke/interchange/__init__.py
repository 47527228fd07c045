"""What knows other libraries' optimizers: their counterparts here, conversion, decoupling."""
