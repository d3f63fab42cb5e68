package PVE::OCI::CLI::EnvCommand;

# The verb env: shows and changes what /.pve.init of a stopped container starts.

use v5.36;

use File::Spec ();
use JSON;

use PVE::OCI::Env;
use PVE::OCI::Text;
use PVE::OCI::Varlink;

# Word after ROOTFS => what it does with the words after it.
my $ACTIONS = {
    list => sub ($data, @words) { invalid('list takes no more words') if @words },
    set => \&PVE::OCI::Env::set_variables,
    unset => \&PVE::OCI::Env::unset_variables,
};

sub invalid ($message) { PVE::OCI::Varlink::fail('InvalidArgument', $message) }

my sub to_bytes (@words) {
    utf8::encode($_) for @words;
    return @words;
}

my sub to_characters (@words) {
    utf8::decode($_) for @words;
    return \@words;
}

# Runs the verb; returns what the file holds afterwards.
sub run ($arguments, $options) {
    my ($rootdir, @words) = to_bytes($arguments->@*);
    my $action;
    if (defined($options->{init})) {
        invalid('--init excludes --command and other words') if $options->{command} || @words;
        $action = sub ($data) { $data->{init} = $options->{init} eq 'on' ? 1 : 0 };
    } elsif ($options->{command}) {
        $action = sub ($data, @command) { $data->{command} = \@command if @command };
    } else {
        my $name = shift(@words) // 'list';
        $action = $ACTIONS->{$name} // invalid("'$name' is not one of list, set, unset");
        invalid("$name wants names") if $name ne 'list' && !@words;
    }
    $rootdir = File::Spec->rel2abs($rootdir);
    my $data = PVE::OCI::Env::read_from($rootdir);
    my $before = PVE::OCI::Env::encode($data);
    $action->($data, @words);
    PVE::OCI::Env::write_to($rootdir, $data) if PVE::OCI::Env::encode($data) ne $before;
    delete $data->{version};
    return {
        $data->%*,
        init => $data->{init} ? JSON::true : JSON::false,
        directory => to_characters($data->{directory})->[0],
        variables => to_characters($data->{variables}->@*),
        command => to_characters($data->{command}->@*),
    };
}

# The variables or the command, one a line.
sub text ($reply, $given) {
    return 'init: ' . ($reply->{init} ? 'on' : 'off') . "\n" if defined($given->{init});
    my $lines = $given->{command} ? $reply->{command} : $reply->{variables};
    return join('', map { PVE::OCI::Text::one_line($_) . "\n" } $lines->@*);
}

1;
