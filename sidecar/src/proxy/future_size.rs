//! Sizes of futures, for tests that bound the memory of a connection.

/// Size of the future that `make` returns.
pub(super) fn size_of_future<A, F: Future>(_make: impl FnOnce(A) -> F) -> usize {
    size_of::<F>()
}
