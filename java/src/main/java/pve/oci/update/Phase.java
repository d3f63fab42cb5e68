package pve.oci.update;

/**
 * How far an update or a rollback has come. The journal names a phase before its first step. Within a phase the tree
 * itself shows which steps are done, so a phase that was interrupted is simply repeated.
 */
public enum Phase {
    /** The new tree is complete; nothing of the old one was moved. */
    STAGED,
    /** Names that only the old tree has are moved out. */
    OUT,
    /** The names of the new tree are moved in, each after the old one of the same name was moved out. */
    IN,
    /** Directories that stay get the new image's attributes. */
    ATTRIBUTES,
    /** The new tree is in place; the container's configuration may still be the old one. */
    SWITCHED,
    /** Back: names of the new tree are moved out. */
    BACK_OUT,
    /** Back: names of the old tree are moved in. */
    BACK_IN,
    /** Back: directories that stayed get the old attributes. */
    BACK_ATTRIBUTES;

    /** Whether an exchange of the trees, in either direction, was begun and not ended. */
    public boolean isBroken() {
        return this != STAGED && this != SWITCHED;
    }

    boolean isBack() {
        return compareTo(BACK_OUT) >= 0;
    }
}
