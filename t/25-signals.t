#!/usr/bin/perl
# PVE::OCI::Signals: what signal handlers die with is kept, wherever the signal comes.
use v5.36;

use FindBin;
use lib "$FindBin::Bin/../perl/lib";

use Test::More;

use PVE::OCI::Signals;

# As the code that runs is interrupted: between two statements.
sub signal ($name = 'TERM') { return kill($name => $$) }

sub named { die "by name\n" }

# Handler, what it dies with.
my @HANDLERS = (
    [sub { die "a reference\n" }, "a reference\n"], ['named', "by name\n"],
    ['main::named', "by name\n"], [\&named, "by name\n"], [*named, "by name\n"],
    [sub { die { code => 7 } }, { code => 7 }],
);
for my $case (@HANDLERS) {
    my ($handler, $expected) = $case->@*;
    local $SIG{TERM} = $handler;
    my $reached = 0;
    eval {
        PVE::OCI::Signals::keep(sub {
            eval { signal() };
            $reached = 1;
            PVE::OCI::Signals::check();
            $reached = 2;
        });
    };
    is_deeply($@, $expected, "kept: handler $handler");
    is($reached, 1, '... until it is looked for');
    ($reached, my $result) = (0);
    eval {
        PVE::OCI::Signals::guard(sub ($guard) {
            signal();
            $result = [$guard->attempt(sub { signal(); $reached = 1 })];
            signal();
            $reached = 2;
        });
    };
    is_deeply($@, $expected, "guarded: handler $handler");
    is_deeply($result, [undef, $expected], '... the attempt has ended');
    is($reached, 2, '... all else was done');
}

subtest 'signals that come in the middle of a handler' => sub {
    my $count = 0;
    local $SIG{TERM} = sub {
        signal() if $count++ < 5;
        die "number $count\n";
    };
    my ($done, @result) = (0);
    eval {
        PVE::OCI::Signals::guard(sub ($guard) {
            @result = $guard->attempt(sub { signal(); sleep(5) });
            $done = 1;
        });
    };
    is($done, 1, 'what follows is done');
    is($count, 6, 'all were handled');
    like($@, qr/number/, 'one of their exceptions arrives');
};

subtest 'signals of one request' => sub {
    local $SIG{TERM} = sub { die "received interrupt\n" };
    my $in_order = 0;
    eval {
        PVE::OCI::Signals::keep(sub {
            eval { signal() };
            my $error = $@;
            signal();
            $in_order++;
            local $PVE::OCI::Signals::SAME_REQUEST = 0;
            eval { signal(); 1 } or $in_order++;
            die $error;
        });
    };
    is($in_order, 2, 'the first and a later one count');
    is($@, "received interrupt\n", 'its exception arrives');
};

subtest 'a handler that returns' => sub {
    local $SIG{INT} = sub {
        eval { 1 }
    };
    for my $run (\&PVE::OCI::Signals::keep, \&PVE::OCI::Signals::guard) {
        my $seen;
        $run->(sub (@) {
            eval { die "the code's own\n" };
            signal('INT');
            $seen = $@;
            return 1;
        });
        is($seen, "the code's own\n", 'leaves the error of the code as it is');
    }
};

subtest 'after finish_only' => sub {
    local $SIG{HUP} = sub { die "hung up\n" };
    my @result;
    eval {
        PVE::OCI::Signals::guard(sub ($guard) {
            $guard->finish_only();
            @result = $guard->attempt(sub { signal('HUP'); 'done' });
        });
    };
    is_deeply(\@result, ['done', undef], 'nothing is ended');
    is($@, "hung up\n", 'and nothing lost');
};

subtest 'errors and results' => sub {
    is(
        PVE::OCI::Signals::guard(sub ($guard) {
            'result';
        }),
        'result',
        'a result'
    );
    eval {
        PVE::OCI::Signals::guard(sub ($guard) {
            die "an error\n";
        });
    };
    is($@, "an error\n", 'an error');
    local $SIG{QUIT} = 'IGNORE';
    PVE::OCI::Signals::keep(sub { signal('QUIT') });
    is($SIG{QUIT}, 'IGNORE', 'an ignored signal');
};

done_testing();
