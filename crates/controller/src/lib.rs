//! The control plane: collect inputs, step, journal, perform; the API.
