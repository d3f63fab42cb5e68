# Stands in for libpve-rs-perl's module of this name, ahead of it in @INC: pve-container as it is
# then extracts with pve-oci.
package PVE::RS::OCI;

use v5.36;

use PVE::OCI ();

*parse_and_extract_image = \&PVE::OCI::parse_and_extract_image;

1;
