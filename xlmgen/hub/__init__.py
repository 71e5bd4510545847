"""Sharing runs through the Hugging Face Hub: pushing one, and pulling it elsewhere."""
