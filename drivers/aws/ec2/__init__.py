"""Models on GPU machines of one's own in Amazon EC2. Start reading at `driver.py`."""
