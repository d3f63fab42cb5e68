package com.sun.jna;

/**
 * Stands in for JNA's class of this name, which extends SecurityManager: that class goes through all packages of all
 * modules when it is loaded, and takes 5 ms of each worker's start. JNA asks it who called where there is no
 * StackWalker, so not since Java 9, and does without it where it is of no use.
 */
final class SecurityManagerExposer {
    private SecurityManagerExposer() {}
}
