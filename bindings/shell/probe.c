/* quernel-probe INDEX NAME: tries one thing on one device, in a process that may die of it. */
int qn_probe_main(int argc, char **argv);

int main(int argc, char **argv)
{
    return qn_probe_main(argc, argv);
}
