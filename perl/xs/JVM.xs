/*
 * PVE::OCI::JVM: starts a Java virtual machine in a forked child of a Perl process, in the worker's sandbox. The child
 * never comes back to Perl: Perl's signal handlers on a Java thread crash the process, so it gives them up first, and
 * every signal stays blocked in it for as long as it lives.
 */
#define PERL_NO_GET_CONTEXT
#include <EXTERN.h>
#include <perl.h>
#include <XSUB.h>

#include "bridge.h"

/* Strings reach dlopen() and mount(2), so none may come from outside unchecked. */
static const char *text_of(pTHX_ SV *value, const char *name)
{
    SvGETMAGIC(value);
    if (!SvOK(value))
        croak("setting %s is missing", name);
    if (TAINTING_get && SvTAINTED(value))
        croak("Insecure dependency: setting %s is tainted", name);
    return SvPV_nomg_nolen(value);
}

static SV *setting(pTHX_ HV *settings, const char *name)
{
    SV **value = hv_fetch(settings, name, (I32) strlen(name), 0);
    return value == NULL ? &PL_sv_undef : *value;
}

static const char *optional_text(pTHX_ HV *settings, const char *name)
{
    SV *value = setting(aTHX_ settings, name);
    return SvOK(value) ? text_of(aTHX_ value, name) : NULL;
}

/* A list that ends with NULL; its memory is a temporary of Perl's. */
static const char **texts_of(pTHX_ HV *settings, const char *name, size_t *count)
{
    SV *list = setting(aTHX_ settings, name);
    if (!SvROK(list) || SvTYPE(SvRV(list)) != SVt_PVAV)
        croak("setting %s is not a list", name);
    AV *values = (AV *) SvRV(list);
    *count = (size_t) (av_len(values) + 1);
    SV *memory = sv_2mortal(newSV((*count + 1) * sizeof(char *)));
    const char **texts = (const char **) SvPVX(memory);
    for (size_t i = 0; i < *count; i++) {
        SV **value = av_fetch(values, (SSize_t) i, 0);
        texts[i] = text_of(aTHX_ value == NULL ? &PL_sv_undef : *value, name);
    }
    texts[*count] = NULL;
    return texts;
}

MODULE = PVE::OCI::JVM  PACKAGE = PVE::OCI::JVM

PROTOTYPES: DISABLE

IV
start(HV *settings, int connection, int log, int owner)
PREINIT:
    struct bridge bridge;
    size_t option_count;
CODE:
    memset(&bridge, 0, sizeof bridge);
    bridge.sandbox.call.library = text_of(aTHX_ setting(aTHX_ settings, "library"), "library");
    bridge.sandbox.call.main_class = text_of(aTHX_ setting(aTHX_ settings, "class"), "class");
    bridge.sandbox.call.options = (char *const *) texts_of(aTHX_ settings, "options", &option_count);
    bridge.sandbox.call.option_count = option_count;
    bridge.sandbox.binds = texts_of(aTHX_ settings, "binds", &bridge.sandbox.bind_count);
    bridge.sandbox.uid_map = optional_text(aTHX_ settings, "uid_map");
    bridge.sandbox.gid_map = optional_text(aTHX_ settings, "gid_map");
    bridge.sandbox.open_files = (rlim_t) SvUV(setting(aTHX_ settings, "open_files"));
    bridge.sandbox.data = (rlim_t) SvUV(setting(aTHX_ settings, "data"));
    bridge.sandbox.makes_devices = SvTRUE(setting(aTHX_ settings, "makes_devices"));
    bridge.sandbox.only_reads = SvTRUE(setting(aTHX_ settings, "only_reads"));
    bridge.sandbox.keeps_groups = SvTRUE(setting(aTHX_ settings, "keeps_groups"));
    bridge.needs_namespace = SvTRUE(setting(aTHX_ settings, "needs_namespace"));
    bridge.connection = connection;
    bridge.log = log;
    bridge.owner = owner;
    RETVAL = bridge_start(&bridge);
OUTPUT:
    RETVAL

int
clone_mount(int directory, bool is_read_only)
CODE:
    RETVAL = bridge_clone_mount(directory, is_read_only);
OUTPUT:
    RETVAL

SV *
block_signals()
PREINIT:
    sigset_t all, before;
CODE:
    if (sigfillset(&all) != 0 || sigprocmask(SIG_SETMASK, &all, &before) != 0)
        croak("cannot block signals: %s", strerror(errno));
    RETVAL = newSVpvn((const char *) &before, sizeof before);
OUTPUT:
    RETVAL

void
restore_signals(SV *mask)
PREINIT:
    sigset_t before;
    STRLEN length;
CODE:
    const char *bytes = SvPV(mask, length);
    if (length != sizeof before)
        croak("not a mask of block_signals");
    memcpy(&before, bytes, length);
    if (sigprocmask(SIG_SETMASK, &before, NULL) != 0)
        croak("cannot restore signals: %s", strerror(errno));
