//! Functions given by the caller as part of a description.

use std::fmt;
use std::sync::Arc;

/// A function in a description: cheap to clone, and equal to itself and its clones only.
pub struct Custom<F: ?Sized>(Arc<F>);

impl<F: ?Sized> Custom<F> {
    pub(crate) fn new(function: Arc<F>) -> Self {
        Self(function)
    }

    /// The function.
    pub fn function(&self) -> &F {
        &self.0
    }
}

impl<F: ?Sized> Clone for Custom<F> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<F: ?Sized> PartialEq for Custom<F> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::addr_eq(Arc::as_ptr(&self.0), Arc::as_ptr(&other.0))
    }
}

impl<F: ?Sized> fmt::Debug for Custom<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<function>")
    }
}
