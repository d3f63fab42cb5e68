package pve.oci.varlink;

/** What org.varlink.service.GetInfo tells of a server. */
public record ServiceInfo(String vendor, String product, String version, String url) {}
