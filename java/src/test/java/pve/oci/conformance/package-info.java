/**
 * Conformance cases as data: images that are described in JSON, the tree or the error that each must give, and what
 * builds, extracts and compares them.
 */
@NullMarked
package pve.oci.conformance;

import org.jspecify.annotations.NullMarked;
