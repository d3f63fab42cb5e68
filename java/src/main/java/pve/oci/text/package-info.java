/** How foreign text is shown: the one definition of which characters may reach a log, a message or a terminal. */
@NullMarked
package pve.oci.text;

import org.jspecify.annotations.NullMarked;
