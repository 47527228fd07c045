"""What a map asks: a task over learning rate × weight decay, and what one cell gives."""
