"""What is drawn and written from a ledger."""
