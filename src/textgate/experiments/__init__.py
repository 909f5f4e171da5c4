"""Many runs side by side: what the store holds, and a sweep over a small grid."""
