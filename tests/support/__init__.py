"""What several tests share: real peers, a real data plane, a real proxy process."""
