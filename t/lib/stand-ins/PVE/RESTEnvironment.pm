package PVE::RESTEnvironment;

# Stand-in for tests: collects warnings.

use v5.36;

our @warnings;

sub log_warn ($message) { push @warnings, $message }

1;
