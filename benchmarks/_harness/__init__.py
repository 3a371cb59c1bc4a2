"""What every benchmark measures with: figures, parts, peers, servers, synthetic libraries."""
