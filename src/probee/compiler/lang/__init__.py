"""The front ends; they meet only in the IR."""
