package PVE::OCI::CLI::Progress;

# Shows a job's progress: one line redrawn on a terminal, elsewhere one line a layer.

use v5.36;

use Time::HiRes ();

use PVE::OCI::Text;

my $BAR_WIDTH = 24;

my sub count ($value) { return ($value // '') =~ /\A([0-9]+)\z/ ? $1 : 0 }

my sub duration ($seconds) {
    return sprintf('%d:%02d', $seconds / 60, $seconds % 60);
}

# The redrawn line: phase, layer, bar, rate and the time that is left at this rate.
sub bar ($progress, $elapsed) {
    my ($read, $total) = map { count($_) } $progress->@{qw(bytesRead bytesTotal)};
    my $phase = ($progress->{phase} // '') =~ /\A([a-z]+)\z/ ? $1 : '?';
    return $phase if $total == 0;
    my $share = $read < $total ? $read / $total : 1;
    my $filled = int($share * $BAR_WIDTH);
    my $line = sprintf(
        '%s [%s%s] %3d%%  %s of %s',
        $phase, '=' x $filled, ' ' x ($BAR_WIDTH - $filled), 100 * $share,
        PVE::OCI::Text::size($read), PVE::OCI::Text::size($total),
    );
    return $line if $elapsed < 0.5 || $read == 0;
    my $rate = $read / $elapsed;
    $line .= '  ' . PVE::OCI::Text::size(int($rate)) . '/s';
    $line .= '  ETA ' . duration(($total - $read) / $rate) if $read < $total;
    return $line;
}

# A line for each layer that is begun. Returns undef when there is nothing new.
sub layer_line ($progress, $state) {
    my $count = count($progress->{layersCount});
    return if $count == 0 || !defined($progress->{layerIndex});
    my $layer = count($progress->{layerIndex}) + 1;
    return if $layer > $count || $layer <= $state->{layer};
    $state->{layer} = $layer;
    my ($read, $entries) = map { count($_) } $progress->@{qw(bytesRead entriesWritten)};
    return sprintf(
        'layer %d/%d (%s read, %d entries so far)',
        $layer, $count, PVE::OCI::Text::size($read), $entries,
    );
}

# Returns two functions: one that takes a Progress hash and one to call at the end, whatever it was.
sub display ($handle, $is_tty) {
    my $start = Time::HiRes::time();
    my $state = { layer => 0, drawn => 0 };
    return (
        sub ($progress) {
            if ($is_tty) {
                my $line = bar($progress, Time::HiRes::time() - $start);
                print {$handle} "\r$line\e[K";
                $handle->flush();
                $state->{drawn} = 1;
            } elsif (defined(my $line = layer_line($progress, $state))) {
                print {$handle} "$line\n";
            }
        },

        sub () {
            print {$handle} "\r\e[K" if $state->{drawn};
            $state->{drawn} = 0;
        },
    );
}

1;
