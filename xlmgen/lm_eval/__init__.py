"""The model `xlmgen` of EleutherAI's lm-evaluation-harness."""
