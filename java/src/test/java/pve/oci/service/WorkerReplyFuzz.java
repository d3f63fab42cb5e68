package pve.oci.service;

import java.util.Map;
import pve.oci.text.Text;
import pve.oci.varlink.Idl;
import pve.oci.varlink.IdlParser;
import pve.oci.varlink.VarlinkException;

/** A frame of a worker that was taken over: read as the interface has it, or refused by an error that says so. */
public final class WorkerReplyFuzz {
    private static final Idl IDL = IdlParser.ofResource("/io.pve.oci.varlink");
    private static final WorkerReplies REPLIES = new WorkerReplies(IDL);

    private WorkerReplyFuzz() {}

    /** One input. */
    public static void fuzzerTestOneInput(byte[] input) {
        try {
            WorkerReplies.Message message =
                    REPLIES.read(input, IDL.method("InspectImage").output());
            if (message instanceof WorkerReplies.ErrorReply reply) {
                requireClean(reply.error().parameters());
            }
        } catch (VarlinkException e) {
            if (!e.error().equals("io.pve.oci.WorkerFailed")) {
                throw new AssertionError("refused by the wrong error: " + e.error());
            }
            requireClean(e.parameters());
        }
    }

    /** What is logged or shown is one line, whatever the worker sent. */
    private static void requireClean(Map<?, ?> parameters) {
        for (Object value : parameters.values()) {
            if (value instanceof String text && !text.equals(Text.clean(text))) {
                throw new AssertionError("text passed as it came");
            }
        }
    }
}
